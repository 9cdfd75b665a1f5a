"""`TF_CONFIG` is read as TensorFlow does, and refused in one line where it cannot be meant."""

import json
import socket
from typing import Any

import pytest

from tfcore.distribution.cluster import Cluster, from_environment, without_cluster
from tfcore.errors import ConfigError

ONE, TWO, THREE = "10.0.0.1:2222", "host-b:65535", "[::1]:1"


def read(cluster: Any, task: Any) -> Cluster | None:
    return from_environment({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})


@pytest.mark.parametrize(
    ("cluster", "task", "number"),
    [
        ({"worker": [ONE, TWO]}, {"type": "worker", "index": 1}, 1),
        ({"worker": [ONE, TWO]}, {"index": "0"}, 0),
        ({"chief": [ONE], "worker": [TWO, THREE]}, {"type": "chief", "index": 0}, 0),
        ({"chief": [ONE], "worker": [TWO, THREE]}, {"type": "worker", "index": 1}, 2),
    ],
)
def test_workers_are_numbered_with_the_chief_first(cluster: Any, task: Any, number: int) -> None:
    addresses = (*cluster.get("chief", ()), *cluster["worker"])
    assert read(cluster, task) == Cluster(addresses, number)


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}])
def test_without_a_cluster_there_is_one_process(environment: dict[str, str]) -> None:
    assert from_environment(environment) is None
    assert read({"worker": [ONE]}, {"type": "worker", "index": 0}) is None


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"cluster": 3}', '{"cluster": {"worker": 3}}', "[" * 10**5])
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"TF_CONFIG must be JSON such as"):
        from_environment({"TF_CONFIG": text})


@pytest.mark.parametrize(
    ("cluster", "task", "told"),
    [
        ({"worker": [ONE, TWO]}, {"type": "worker", "index": 2}, "worker 2 must be one of the 0 chief and 2 workers"),
        ({"worker": [ONE, TWO]}, {"type": "worker", "index": -1}, "worker -1 must be one"),
        ({"worker": [ONE, TWO]}, {"type": "chief", "index": 0}, "chief 0 must be one"),
        ({"chief": [ONE, TWO], "worker": [THREE]}, {"type": "chief", "index": 0}, "at most one chief"),
        ({"worker": [ONE], "ps": [TWO]}, {"type": "ps", "index": 0}, "are workers, and a chief at most"),
        ({"worker": [ONE, "host"]}, {}, "HOST:PORT, such as 10.0.0.1:2222. Received 'host'."),
        ({"worker": [ONE, "host:0"]}, {}, "Received 'host:0'."),
        ({"worker": [ONE, 5]}, {}, "Received '5'."),
    ],
)
def test_a_cluster_without_this_worker_is_refused(cluster: Any, task: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(cluster, task)
    assert told in str(caught.value)


def test_what_tensorflow_reads_is_what_was_meant() -> None:
    cluster = Cluster((ONE, TWO), 1)
    assert from_environment({"TF_CONFIG": cluster.tf_config}) == cluster


def test_workers_whose_port_is_closed_are_found() -> None:
    with socket.socket() as open_one, socket.socket() as closed:
        for each in (open_one, closed):
            each.bind(("127.0.0.1", 0))
        open_one.listen()
        addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in (closed, open_one, closed))
        cluster = Cluster(addresses, number=2)
        assert cluster.unreachable() == [0]
        assert cluster.named(1) == f"worker 1 at {addresses[1]}"


def test_a_process_may_be_taken_out_of_its_cluster() -> None:
    given = {"TF_CONFIG": Cluster((ONE, TWO), 1).tf_config, "TFCORE_WORKERS": "a:1,b:2", "PMI_RANK": "1", "HOME": "/"}
    assert from_environment(given) is not None
    assert from_environment(without_cluster(given)) is None
    assert without_cluster(given)["HOME"] == "/"
