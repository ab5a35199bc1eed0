"""Prometheus' formulas once more, written straight from promql/functions.go, sample by sample.

It shares no code with the product: plain loops over (time in ms, value) pairs.
"""

import math


def oracle_rate(samples, start_ms, end_ms, *, is_counter=True):
    """`extrapolatedRate` without start timestamps."""
    inside = [(time_ms, value) for time_ms, value in samples if start_ms < time_ms <= end_ms]
    if len(inside) < 2:
        return None
    result = inside[-1][1] - inside[0][1]
    if is_counter:
        previous = inside[0][1]
        for _, value in inside[1:]:
            if value < previous:
                result += previous
            previous = value
    duration_to_start = (inside[0][0] - start_ms) / 1000
    duration_to_end = (end_ms - inside[-1][0]) / 1000
    sampled_interval = (inside[-1][0] - inside[0][0]) / 1000
    average = sampled_interval / (len(inside) - 1)
    threshold = average * 1.1
    if duration_to_start >= threshold:
        duration_to_start = average / 2
    if is_counter:
        duration_to_zero = duration_to_start
        if result > 0 and inside[0][1] >= 0:
            duration_to_zero = sampled_interval * (inside[0][1] / result)
        duration_to_start = min(duration_to_start, duration_to_zero)
    if duration_to_end >= threshold:
        duration_to_end = average / 2
    factor = (sampled_interval + duration_to_start + duration_to_end) / sampled_interval
    return result * factor / ((end_ms - start_ms) / 1000)


def oracle_classic_quantile(quantile, buckets):
    """`BucketQuantile` over {upper bound: cumulative count}."""
    ordered = sorted(buckets.items())
    if not ordered or ordered[-1][0] != math.inf:
        return None
    counts = []
    for _, count in ordered:
        is_kept = not counts or not (count < counts[-1] or _almost_equal(count, counts[-1]))
        counts.append(count if is_kept else counts[-1])
    if len(ordered) < 2 or counts[-1] == 0:
        return None
    rank = quantile * counts[-1]
    index = next((index for index in range(len(ordered) - 1) if counts[index] >= rank), len(ordered) - 1)
    if index == len(ordered) - 1:
        return ordered[-2][0]
    if index == 0 and ordered[0][0] <= 0:
        return ordered[0][0]
    start, end, count = 0.0, ordered[index][0], counts[index]
    if index > 0:
        start = ordered[index - 1][0]
        count -= counts[index - 1]
        rank -= counts[index - 1]
    return start + (end - start) * (rank / count)


def _almost_equal(left, right):
    if left == right:
        return True
    return abs(left - right) / (abs(left) + abs(right)) < 1e-12


def oracle_native_quantile(quantile, positive, negative, zero, scale):
    """`HistogramQuantile` over {index: count}, from a list of all buckets in the order of their values."""
    base = 2.0 ** (2.0**-scale)
    buckets = [
        (-(base ** (index + 1)), -(base**index), count) for index, count in sorted(negative.items(), reverse=True)
    ]
    buckets.append((0.0, 0.0, zero))
    buckets += [(base**index, base ** (index + 1), count) for index, count in sorted(positive.items())]
    buckets = [bucket for bucket in buckets if bucket[2]]
    total = sum(bucket[2] for bucket in buckets)
    if not total:
        return None
    rank, below = quantile * total, 0.0
    for low, high, count in buckets:
        if below + count >= rank - 1e-9 * total:
            share = min(1.0, max(0.0, (rank - below) / count))
            if low <= 0 <= high:
                return low + (high - low) * share
            if low > 0:
                return low * (high / low) ** share
            return -(abs(low) * (abs(high) / abs(low)) ** share)
        below += count
    raise AssertionError("the last bucket reaches every rank")
