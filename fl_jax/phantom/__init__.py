"""The synthetic cohort: head CT of patients who do not exist, written as DICOM."""
