"""`muniment doctor`: whether an index is in order, and its repair."""

from typing import Annotated

import typer

from muniment.cli.answers import IndexReport
from muniment.cli.client import Answer, Gateway, connect, project_path
from muniment.cli.following import completed, see_through
from muniment.cli.hints import again
from muniment.cli.options import AsJson, DataDir, Url
from muniment.cli.render import clean, console, count
from muniment.intake import JobAnswer
from muniment.jobs import JobKind


def doctor(
    index: Annotated[str, typer.Option("--index", metavar="NAME", help="Name or id of the project to examine.")],
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is wrong, and read again what was lost.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    url: Url = None,
) -> None:
    """Compare the stores of an index with each other; exit status 1 unless all of it was compared and agrees."""
    with connect(data_dir, url) as gateway:
        answer, report = _examined(gateway, index, quiet=as_json)
        if repair and not report.sound:
            body = {"kind": JobKind.RECONCILE, "repair": True}
            job_id = gateway.post(project_path(index, "/jobs"), body).read(JobAnswer).job_id
            completed(see_through(gateway, job_id, index, again(["jobs", "watch", job_id], data_dir, url)))
            answer, report = _examined(gateway, index, quiet=as_json)
    if as_json:
        typer.echo(answer.content)
    if not report.sound:
        raise typer.Exit(1)


def _examined(gateway: Gateway, name: str, *, quiet: bool) -> tuple[Answer, IndexReport]:
    answer = gateway.get_patiently(project_path(name, "/check"))
    report = answer.read(IndexReport)
    if not quiet:
        for line in described(report):
            console().print(line, soft_wrap=True)
    return answer, report


def described(report: IndexReport) -> list[str]:
    if not report.indexed and not report.findings:
        return ["Nothing is indexed yet."]
    vectors = "" if report.vectors is None else f", {count(report.vectors, 'vector')}"
    size = report.bytes_on_disk
    lines = [
        f"{count(report.files, 'file')}, {count(report.chunks, 'chunk')}{vectors}; "
        f"manifest {size.manifest / 1e6:,.1f} MB, lexical index {size.lexical / 1e6:,.1f} MB"
    ]
    if report.building:
        lines.append(f"Vectors of another model are being made in {report.building}.")
    if not report.clean_end:
        lines.append("The last writer died; the next pass repairs what it left open.")
    elif not report.complete:
        lines.append("The last pass over the whole tree did not come to its end.")
    lines += [f"  interrupted: {clean(path)}" for path in report.interrupted]
    for finding in report.findings:
        lines.append(f"WRONG {finding.what}: {finding.count:,} {finding.meaning}")
        lines += [f"  {clean(example)}" for example in finding.examples]
    lines += [f"Not compared: {clean(reason)}" for reason in report.unchecked]
    return [*lines, "All stores agree."] if report.sound else lines


def register(app: typer.Typer) -> None:
    app.command()(doctor)
