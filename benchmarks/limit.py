"""The hard limit: `python -m benchmarks.limit FILE OUT` reads the JSON Lines and writes them as Parquet, no more."""

import sys

import polars as pl

pl.scan_ndjson(sys.argv[1]).select("id", "data").sink_parquet(sys.argv[2], compression="zstd", compression_level=1)
