"""The Compose files hold what they promise; what only Docker Compose itself can say is in `make check`."""

import stat
import subprocess

import pytest

from compose.certificates import FILES, CertificateError, make_certificates
from tests.checks import compose as checks


def test_the_compose_files_have_no_problems_in_their_text() -> None:
    found = [problem for name in (checks.BASE, *checks.OVERLAYS) for problem in checks._text_problems(name)]
    assert found + checks._settings_problems() == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"image": "grafana/loki:latest"}, "is not pinned"),
        ({"image": "grafana/loki"}, "is not pinned"),
        ({"image": "grafana/loki:3.7.8", "container_name": "loki"}, "container name"),
        ({"ports": ["3100:3100"]}, "beyond loopback"),
        ({"ports": ["0.0.0.0:3100:3100"]}, "beyond loopback"),
        ({"image": "grafana/loki:3.7.8"}, "no mem_limit"),
        ({"image": "grafana/loki:3.7.8"}, "no health check"),
    ],
)
def test_the_check_finds_what_is_wrong(settings: dict[str, object], problem: str) -> None:
    assert any(problem in found for found in checks._service_problems("loki", settings))


@pytest.mark.parametrize(
    ("text", "value"),
    [("${A:-1}", "1"), ("${B:-1}", "2"), ("${E:-1}", "1"), ("${A:-http://h:9/}", "http://h:9/"), ("${A:?text}", "")],
)
def test_variables_are_replaced_as_docker_compose_does(text: str, value: str) -> None:
    assert checks.substitute(text, {"B": "2", "E": ""}) == value


def test_every_combination_has_the_base_and_no_contradiction() -> None:
    chosen = list(checks.combinations())
    assert all(files[0] == checks.BASE for files in chosen)
    assert (checks.BASE,) in chosen
    assert not any({"compose.scrape-only.yaml", "compose.tls.yaml"} <= set(files) for files in chosen)
    assert len(chosen) == len(set(chosen)) == 6


def test_certificates_are_made_once_and_verify(tmp_path) -> None:
    folder = tmp_path / "certs"
    assert make_certificates(folder)
    before = [(folder / name).read_bytes() for name in FILES]
    assert not make_certificates(folder)
    assert [(folder / name).read_bytes() for name in FILES] == before
    verify = ["openssl", "verify", "-CAfile", "ca.pem", "-verify_hostname", "otelcol", "otelcol.pem"]
    assert subprocess.run(verify, cwd=folder, capture_output=True, check=False).returncode == 0
    # No other user can read the key, and the authority's own key is deleted.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_half_of_the_certificates_is_an_error(tmp_path) -> None:
    (tmp_path / "ca.pem").touch()
    with pytest.raises(CertificateError, match=r"only ca\.pem"):
        make_certificates(tmp_path)
