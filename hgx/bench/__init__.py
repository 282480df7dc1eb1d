"""Honest benchmarks: timed with a clock that is passed in, judged before they are believed."""
