"""The page kit: self-contained HTML and SVG from text, tables and numbers. It knows about pages, not about runs."""
