"""The front page, once for WSGI and once for asyncio: it uses every secret there is."""

import hashlib
import os

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse

from shop.models import Visit


def front(request: HttpRequest) -> JsonResponse:
    """A visit is stored (with a database login for each request), the visitor's own are counted in
    a signed cookie, and a payment would be signed with the key of the moment."""
    Visit.objects.create()
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (user,) = cursor.fetchone()
    yours = request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse(
        {
            "visits": Visit.objects.count(),
            "yours": yours,
            "database_user": user,
            "payment_key": fingerprint(str(settings.PAYMENT_KEY)),
            "session_key": fingerprint(str(settings.SECRET_KEY)),
            "worker": os.getpid(),
        }
    )


async def front_async(request: HttpRequest) -> JsonResponse:
    """The same on the event loop."""
    await Visit.objects.acreate()
    yours = request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse(
        {
            "visits": await Visit.objects.acount(),
            "yours": yours,
            "payment_key": fingerprint(await settings.PAYMENT_KEY.aget()),
            "session_key": fingerprint(await settings.SECRET_KEY.aget()),
            "worker": os.getpid(),
        }
    )


def fingerprint(key: str) -> str:
    """Which key it is, without saying what it is."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
