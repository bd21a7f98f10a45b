"""The service on the wire: AWS JSON 1.1, for the botocore client wired in process."""
