"""PyMongo with the credentials of a secret: the client is swapped when they move."""

from smclient_pymongo.holder import AsyncMongoHolder, MongoHolder

__all__ = ["AsyncMongoHolder", "MongoHolder"]
