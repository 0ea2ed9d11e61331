/** The smallest spec: everything else has a default. */
export const SMALL_SPEC = `model: shop/returns
task: binary
data:
  source: rows.parquet
  id: order
  eventTime: placed
features:
  - name: price
    type: number
    unit: EUR
    range: [0, 100000]
  - name: country
    type: category
  - name: local
    type: timestamp
    parts: [hour, dayOfWeek]
label:
  column: returned
  maturity: 2d
`;
