"""Addresses that are private, or this host's own, are told."""

import socket

import pytest

import addresses


def test_the_hosts_own_addresses_are_told_but_for_those_that_are_refused_anyway() -> None:
    every = addresses.addresses([])
    assert "127.0.0.1" in every
    assert addresses.addresses(["0.0.0.0/0"]) == []
    assert set(every) - set(addresses.addresses(["127.0.0.0/8"])) == {one for one in every if one.startswith("127.")}


def test_names_of_private_addresses_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"lan.example": "10.1.2.3", "cgnat.example": "100.64.0.1", "loopback.example": "127.0.0.1", "public.example": "8.8.8.8"}

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        if host not in known:
            raise socket.gaierror("unknown")
        return [(0, 0, 0, "", (known[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert addresses.private([*known, "unknown.example"]) == ["cgnat.example", "lan.example", "loopback.example"]
