"""Raw rows to datasets on disk. Imports polars inside its parts, never torch."""
