/** Whether an offer meets a query's filters. @module */
import type { ModelOffer } from "../protocol/announcement.ts";
import type { OfferFilters } from "../protocol/registry/query.ts";

/**
 * Whether an offer meets all filters.
 * @param live whether its executor has been heard of lately
 */
export function matchesOffer(offer: ModelOffer, filters: OfferFilters, live: boolean): boolean {
  const { backend, minContextLength, requiredFeatures = [], maxInboundPrice } = filters;
  const { maxOutboundPrice, onlyAvailable = false, minSuccessRate } = filters;
  return (backend === undefined || offer.backend === backend) &&
    (minContextLength === undefined || (offer.contextLength ?? -1) >= minContextLength) &&
    requiredFeatures.every((feature) => offer.features.includes(feature)) &&
    (maxInboundPrice === undefined || offer.inboundPrice <= maxInboundPrice) &&
    (maxOutboundPrice === undefined || offer.outboundPrice <= maxOutboundPrice) &&
    (!onlyAvailable || (live && offer.available)) &&
    (minSuccessRate === undefined || (offer.performance?.successRate ?? -1) >= minSuccessRate);
}
