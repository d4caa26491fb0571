"""TrainingJobs as the commands see them: small frozen objects, read from the API's dicts.

Pure, and total: a status of another version of the operator, or none at all, is read as far as it goes.
"""
