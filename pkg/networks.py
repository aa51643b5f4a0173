"""Whose address it is: the one definition of a client's network, which every limit counts by."""

import ipaddress

CUSTOMER_PREFIX_BITS = 64


def network_of(address: str) -> str:
    """Return the network that one customer holds: an IPv4 address, or the /64 of an IPv6 address.

    An IPv4 address inside IPv6 ("::ffff:192.0.2.1") is that IPv4 address; what is no address stays as it is.
    """
    if ":" not in address:
        return address
    try:
        ip = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    # Whoever has one IPv6 address has the whole /64. The number alone: a scope ("%eth0") is not part of it.
    network = ipaddress.IPv6Network((int(ip), CUSTOMER_PREFIX_BITS), strict=False)
    return str(network)
