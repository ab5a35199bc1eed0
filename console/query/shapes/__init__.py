"""Every JSON response of the console's API, one struct each; `console/http` lists the routes.

The rules for all of them:

- Times are Unix seconds, durations are seconds, money is US dollars, shares are 0 to 1. Each is a
  JSON number. Ids are lower-case hex.
- `null` means unknown: a page never shows it as 0, nor 0 as unknown.
- `basis` says of each number where it comes from and over which window, by the field's name (or
  `a.b` for a field of a nested object). A page shows it with the number.
- Text comes from any program that sent telemetry. It is data: insert it as text, never as markup.
- Lists are bounded. What is cut off is marked: `next_cursor`, `truncated`.
"""
