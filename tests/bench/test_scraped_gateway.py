"""What the benchmark of continuous scraping prints."""

from bench.gateway_report import KINDS
from bench.scraped_gateway import Pair, lines


def pair(kind: str, alone: float, scraped: float) -> Pair:
    return Pair(
        kind=kind,
        p99_alone=alone,
        p99_scraped=scraped,
        per_second_alone=100.0,
        per_second_scraped=90.0,
        scrapes_per_second=50.0,
    )


def test_the_ratio_of_the_rounds_decides() -> None:
    whole, streamed = KINDS
    pairs = [pair(whole, 10, 12), pair(whole, 20, 40), pair(whole, 10, 14), pair(streamed, 10, 16)]
    of_whole, of_streamed = lines(pairs)
    assert of_whole.startswith("whole     p99 10.0 ms alone, 14.0 ms scraped 50 times/s; ratio 1.40 (1.20-2.00), ")
    assert of_whole.endswith("aim 1.5: PASS; requests/s 100 alone, 90 scraped")
    assert of_streamed.startswith("streamed  p99 10.0 ms alone, 16.0 ms scraped 50 times/s; ratio 1.60 (1.60-1.60), ")
    assert of_streamed.endswith("aim 1.5: FAIL; requests/s 100 alone, 90 scraped")
