"""redis-py, kombu and Celery with the credentials of a secret."""

from smclient_redis.credentials import SecretCredentials

__all__ = ["SecretCredentials"]
