"""From DICOM files to batches of Hounsfield units."""
