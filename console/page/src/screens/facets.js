// Values that filters offer.

export function facetValues(result, field) {
  return result.data?.facets.find((facet) => facet.field === field)?.values ?? [];
}
