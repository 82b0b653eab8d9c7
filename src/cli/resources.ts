import { accessLevelNumber } from '../core/grants.ts'
import type { GrantRequest } from '../service/ports/registry.ts'

/** Permissions as the API writes them. */
export function resourcesJson(grants: readonly GrantRequest[]) {
  return grants.map(({ resource, level }) => ({
    resource_type: resource.type,
    resource_id: resource.id,
    access_level: accessLevelNumber[level],
  }))
}
