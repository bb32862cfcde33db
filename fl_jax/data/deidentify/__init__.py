"""De-identified copies of DICOM files: `file` rewrites one file, `folder` a whole folder."""
