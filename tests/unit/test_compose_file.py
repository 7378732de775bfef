"""What the container files promise: nothing open, nothing unbounded, no secret, nothing out of step with the code."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from muniment.settings import Settings

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
INDEXING = ["api", "watcher", "worker"]

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def volumes(name: str) -> dict[str, str]:
    """Mount point -> source, with ':ro' behind a read-only one."""
    # the colon inside ${NAME:-default} is none that separates
    parts = [re.fullmatch(r"(\$\{[^}]*\}|[^:]+):([^:]+)(:ro)?", volume) for volume in SERVICES[name].get("volumes", [])]
    return {part[2]: part[1] + (part[3] or "") for part in parts if part}


def test_it_holds_the_services_of_the_design() -> None:
    assert set(SERVICES) == {"redis", "chroma", "api", "worker", "watcher", "rq-dashboard"}


@every_service
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:"), port


def test_only_the_gateway_and_the_queue_dashboard_publish_a_port() -> None:
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"api", "rq-dashboard"}


@pytest.mark.parametrize("name", ["redis", "chroma"])
def test_the_stores_are_reached_from_the_private_network_alone(name: str) -> None:
    assert SERVICES[name]["networks"] == ["stores"]
    assert COMPOSE["networks"]["stores"]["internal"] is True


@every_service
def test_every_service_is_bounded_and_confined(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert not service.get("privileged")


@every_service
def test_what_others_wait_for_has_a_health_check(name: str) -> None:
    for dependency, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert SERVICES[dependency]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_gateway_and_worker_wait_for_both_stores() -> None:
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"].keys() == {"redis", "chroma"}


def test_who_indexes_and_who_answers_see_the_same_folders() -> None:
    assert len({tuple(SERVICES[name]["volumes"]) for name in INDEXING}) == 1
    assert volumes("api")["/data"] == "muniment-data"
    assert {SERVICES[name]["environment"]["MUNIMENT_DATA_DIR"] for name in INDEXING} == {"/data"}


@pytest.mark.parametrize("name", INDEXING)
def test_sources_are_mounted_read_only_and_are_the_only_root(name: str) -> None:
    mounted = volumes(name)
    assert mounted[SERVICES[name]["environment"]["MUNIMENT_ROOTS"]].endswith(":ro")
    assert {point for point, source in mounted.items() if not source.endswith(":ro")} == {"/data"}


@every_service
def test_no_service_is_given_a_token(name: str) -> None:
    assert SERVICES[name].get("environment", {}).get("MUNIMENT_TOKEN") is None


def test_the_gateway_makes_its_token_on_the_data_volume() -> None:
    environment = SERVICES["api"]["environment"]
    assert "MUNIMENT_TOKEN" in environment, "one that the operator has set is handed on"
    assert Path(environment["MUNIMENT_TOKEN_FILE"]).is_relative_to(environment["MUNIMENT_DATA_DIR"])


@pytest.mark.parametrize("name", OURS)
def test_only_settings_that_exist_are_set(name: str) -> None:
    known = {f"MUNIMENT_{field.upper()}" for field in Settings.model_fields}
    assert {key for key in SERVICES[name].get("environment", {}) if key.startswith("MUNIMENT_")} <= known


@pytest.mark.parametrize("name", [name for name in OURS if name != "chroma"])
def test_each_service_of_ours_runs_an_installed_command(name: str) -> None:
    assert SERVICES[name]["command"][0] in PROJECT["project"]["scripts"]


@pytest.mark.parametrize(("name", "setting"), [("api", "MUNIMENT_PORT"), ("rq-dashboard", "MUNIMENT_OPS_PORT")])
def test_the_published_port_is_the_one_listened_on(name: str, setting: str) -> None:
    (port,) = SERVICES[name]["ports"]
    default = Settings.model_fields[setting.removeprefix("MUNIMENT_").lower()].default
    assert port == f"127.0.0.1:${{{setting}:-{default}}}:{SERVICES[name]['environment'][setting]}"


def test_chroma_is_swept_before_it_starts() -> None:
    assert SERVICES["chroma"]["command"][:3] == ["python", "-m", "muniment.stack.chroma"]
    assert "build" in SERVICES["chroma"]


def test_redis_keeps_its_jobs_over_a_restart() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert volumes("redis")["/data"] == "redis-data"


def test_every_store_is_a_named_volume() -> None:
    named = {source for name in SERVICES for source in volumes(name).values() if not source.startswith("${")}
    assert named == COMPOSE["volumes"].keys()


def test_no_two_services_build_the_same_tag() -> None:
    tags = [SERVICES[name]["image"] for name in OURS if "image" in SERVICES[name]]
    assert len(tags) == len(set(tags))


def test_the_image_runs_as_a_user_without_rights() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\d+):(\d+)$", last_stage, re.MULTILINE)
    assert users
    assert "0" not in users[-1]


def test_the_image_is_built_on_glibc_without_a_compiler() -> None:
    assert not re.search(r"alpine|build-essential|gcc", DOCKERFILE)
    assert "--only-binary :all:" in DOCKERFILE


def test_dependencies_are_installed_before_any_source_is_copied() -> None:
    dependencies, _, rest = DOCKERFILE.partition("pip install --only-binary")
    assert re.findall(r"^COPY (.*)$", dependencies, re.MULTILINE) == ["pyproject.toml ."]
    assert "\nCOPY . ." in rest


def test_the_build_sees_what_the_wheel_is_made_of_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {Path(package).parts[0] for package in wheel} | {"pyproject.toml", PROJECT["project"]["readme"]}
    needed |= set(PROJECT["project"]["license-files"])
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == needed
