"""How to write a rotation function: four steps, idempotent, the same in AWS Lambda and embedded.

from smclient.rotation import PostgresSingleUser
lambda_handler = PostgresSingleUser()
"""

from smclient.rotation.function import Rotation, RotationFunction
from smclient.rotation.passwords import PasswordRules
from smclient.rotation.postgres import PostgresSingleUser

__all__ = ["PasswordRules", "PostgresSingleUser", "Rotation", "RotationFunction"]
