"""Brokers for the tests of the cluster's queue."""

import pytest

import kafka


@pytest.fixture(scope="module")
def broker(module_rig):
    """One broker, copies 1; its topics are not there yet."""
    return module_rig.add(kafka.Kafka(module_rig.path("kafka")))


@pytest.fixture(scope="module")
def brokers(module_rig):
    """Three, copies 3."""
    return module_rig.add(kafka.Kafka(module_rig.path("kafka"), brokers=3))
