"""De-identified copies of DICOM files: `file` rewrites one, `folder` a folder, `elements` checks values."""
