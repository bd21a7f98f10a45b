"""Which hosts are AWS's own Secrets Manager, and which only have its name in theirs."""

from __future__ import annotations

import pytest

from smclient.backend import is_aws_endpoint

OWN = [
    "secretsmanager{}.eu-west-1.amazonaws.com",
    "secretsmanager{}.us-gov-west-1.amazonaws.com",
    "secretsmanager{}.ap-southeast-2.api.aws",
    "secretsmanager{}.cn-north-1.amazonaws.com.cn",
    "secretsmanager{}.cn-northwest-1.api.amazonwebservices.com.cn",
    "vpce-0a1-b2.secretsmanager{}.us-east-1.vpce.amazonaws.com",
    "vpce-0a1-b2-us-east-1a.secretsmanager{}.us-east-1.vpce.amazonaws.com",
    "vpce-0a1-b2.secretsmanager{}.cn-north-1.vpce.amazonaws.com.cn",
]

OTHERS = [
    "secretsmanager{}.s3.eu-west-1.amazonaws.com",  # a bucket of anybody's
    "secretsmanager{}.s3.amazonaws.com",
    "secretsmanager{}.s3-eu-west-1.amazonaws.com",
    "secretsmanager{}.s3-website-eu-west-1.amazonaws.com",
    "secretsmanager{}.s3.dualstack.eu-west-1.amazonaws.com",
    "secretsmanager{}.s3-accesspoint.eu-west-1.amazonaws.com",
    "secretsmanager{}.eu-west-1.elb.amazonaws.com",
    "secretsmanager{}.auth.eu-west-1.amazoncognito.com",
    "a.secretsmanager{}.eu-west-1.amazonaws.com",
    "vpce-0a1-b2.secretsmanager{}.us-east-1.amazonaws.com",
    "secretsmanager{}.us-east-1.vpce.amazonaws.com",
    "vpce-0a1.vpce-svc-secretsmanager{}.us-east-1.vpce.amazonaws.com",
    "secretsmanager{}.amazonaws.com",
    "secretsmanager{}.eu-west-1.amazonaws.com.evil.example",
    "secretsmanager{}.eu-west-1-amazonaws.com",
    "secretsmanager{}.eu-west-1.evilamazonaws.com",
    "notsecretsmanager{}.eu-west-1.amazonaws.com",
]


@pytest.mark.parametrize("host", OWN)
def test_aws_s_own_hosts_are_known(host: str) -> None:
    """With FIPS or without, of each partition, and in one's own network; capitals do not matter."""
    plain, fips = f"https://{host.format('')}", f"https://{host.format('-fips')}:443/"
    assert is_aws_endpoint(plain)
    assert is_aws_endpoint(plain.upper())
    assert is_aws_endpoint(fips)
    assert is_aws_endpoint(fips, fips=True)
    assert not is_aws_endpoint(plain, fips=True)
    assert not is_aws_endpoint(plain.replace("https", "http"))


@pytest.mark.parametrize("label", ["", "-fips"])
@pytest.mark.parametrize("host", OTHERS)
def test_a_host_that_only_sounds_like_it_is_not(host: str, label: str) -> None:
    """Under AWS's domain anybody may have a bucket of any free name."""
    assert not is_aws_endpoint(f"https://{host.format(label)}")
    assert not is_aws_endpoint(f"https://{host.format(label)}", fips=bool(label))
