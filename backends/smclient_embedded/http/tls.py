"""A certificate authority of one's own, for TLS on this machine.

Made once in a folder of mode 0700, its files 0600, and used again: clients trust ``ca.pem``
(``AWS_CA_BUNDLE=ca.pem``, ``boto3.client(…, verify="ca.pem")``). The authority can make no other
authority; the leaf is for the loopback names and the hosts that were asked for, and is made anew
when it runs out or another host is asked for.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smclient.errors import ConfigError
from smclient_embedded.disk import write_private
from smclient_embedded.http.hosts import LOOPBACK_NAMES

_CA_DAYS = 3650
_LEAF_DAYS = 397
_RENEW = timedelta(days=30)
_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the certificates are: for clients the authority, for the server the other two."""

    authority: Path
    certificate: Path
    key: Path


def tls_files(folder: Path, hosts: Iterable[str], now: datetime) -> TlsFiles:
    """The certificates in a folder; made if they are not there or no longer fit.

    Raises:
        ConfigError: the folder cannot be used, or something in it is not ours.
    """
    names = sorted(LOOPBACK_NAMES | {host.lower() for host in hosts})
    files = TlsFiles(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority_key = folder / "ca.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (files.authority.exists() and authority_key.exists()):
            _make_authority(files.authority, authority_key, now)
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        if not _still_fits(files, authority, names, now):
            _make_leaf(files, authority, _load_key(authority_key), names, now)
    except OSError as error:
        raise ConfigError(
            f"the TLS folder {folder} cannot be used ({error.strerror}); name another with "
            "--tls-dir"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"the TLS folder {folder} holds files that are not certificates of this server; empty "
            "it, or name another with --tls-dir"
        ) from error
    return files


def _make_authority(path: Path, key_path: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smclient local authority")])
    usage = _usage(key_cert_sign=True, crl_sign=True, digital_signature=False)
    certificate = (
        _builder(name, name, key, now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_authority_of(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _replace(key_path, _pem(key))
    _replace(path, certificate.public_bytes(serialization.Encoding.PEM))


def _make_leaf(
    files: TlsFiles,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: list[str],
    now: datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smclient serve")])
    usage = _usage(key_cert_sign=False, crl_sign=False, digital_signature=True)
    server_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        _builder(subject, authority.subject, key, now, _LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(server_only, critical=False)
        .add_extension(_authority_of(authority_key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    _replace(files.key, _pem(key))
    _replace(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _still_fits(
    files: TlsFiles, authority: x509.Certificate, names: list[str], now: datetime
) -> bool:
    if not (files.certificate.exists() and files.key.exists()):
        return False
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    try:
        leaf.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001  whatever is wrong with it (type, name, signature): a new one
        return False
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    same_key = _load_key(files.key).public_key() == leaf.public_key()
    lasts = leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc - _RENEW
    return same_key and lasts and {_general(name) for name in names} <= set(held)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_of(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _usage(*, key_cert_sign: bool, crl_sign: bool, digital_signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not a key of this kind")
    return key


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    write_private(draft, content)
    os.replace(draft, path)
