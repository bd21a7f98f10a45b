"""How to write a rotation function: four steps, idempotent, the same in AWS Lambda and embedded.

from smclient.rotation import PostgresSingleUser
lambda_handler = PostgresSingleUser()
"""

from smclient.rotation.api_key import ApiKey, KeyProvider, KeyRefused
from smclient.rotation.function import Rotation, RotationFunction
from smclient.rotation.mongodb import MongoDBAlternatingUsers, MongoDBSingleUser
from smclient.rotation.mysql import (
    MariaDBAlternatingUsers,
    MariaDBSingleUser,
    MySQLAlternatingUsers,
    MySQLSingleUser,
)
from smclient.rotation.oauth import OAuthClientCredentials
from smclient.rotation.passwords import PasswordRules
from smclient.rotation.postgres import PostgresAlternatingUsers, PostgresSingleUser
from smclient.rotation.redis import RedisAclUser
from smclient.rotation.redshift import RedshiftAlternatingUsers, RedshiftSingleUser
from smclient.rotation.signing_key import SigningKey
from smclient.rotation.users import AlternatingUsers, SingleUser

__all__ = [
    "AlternatingUsers",
    "ApiKey",
    "KeyProvider",
    "KeyRefused",
    "MariaDBAlternatingUsers",
    "MariaDBSingleUser",
    "MongoDBAlternatingUsers",
    "MongoDBSingleUser",
    "MySQLAlternatingUsers",
    "MySQLSingleUser",
    "OAuthClientCredentials",
    "PasswordRules",
    "PostgresAlternatingUsers",
    "PostgresSingleUser",
    "RedisAclUser",
    "RedshiftAlternatingUsers",
    "RedshiftSingleUser",
    "Rotation",
    "RotationFunction",
    "SigningKey",
    "SingleUser",
]
