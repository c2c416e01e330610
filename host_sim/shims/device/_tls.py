"""Stands in for `tls`: a handshake costs its time, and what follows travels as it is."""

PROTOCOL_TLS_CLIENT = 0
CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = 0, 1, 2
_CERTIFICATE_US = 1000000
_PSK_US = 20000


class SSLContext:
    """A client's context: either a pre-shared key or a certificate authority."""

    def __init__(self, protocol):
        self.psk_identity = self.psk_key = None
        self.verify_mode = CERT_REQUIRED

    def set_ciphers(self, ciphers):
        pass

    def load_verify_locations(self, cadata):
        pass

    def wrap_socket(self, sock, server_side=False, do_handshake_on_connect=True, server_hostname=None):
        sock.handshake_us = _CERTIFICATE_US if self.psk_key is None else _PSK_US
        return sock
