"""The table of visits."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """See ``shop.models``."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="Visit",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
