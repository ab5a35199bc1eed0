"""Every query of the reference document, as written and corrected, returns what the traffic program's own counts say."""

from tests.reference.check import check_reference
from tests.reference.report import counts, is_good, summary, table


async def test_every_query_of_the_reference_returns_what_the_traffic_program_counted(stack_with, tmp_path, seed, say):
    folder = tmp_path / "played"
    folder.mkdir()
    async with stack_with() as stack:
        findings = await check_reference(stack, folder, seed, lambda _: None)
    for line in summary(findings):
        say(line)
    assert is_good(findings), "\n".join(table(findings))
    assert counts(findings)["PromQL", "corrected"] == (55, 55)
