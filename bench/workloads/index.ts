import type { Workload } from '../workload.ts'
import { attachment } from './attachment.ts'
import { check } from './check.ts'
import { fleet } from './fleet.ts'
import { flood } from './flood.ts'
import { http } from './http.ts'
import { instructions } from './instructions.ts'
import { revocation } from './revocation.ts'
import { scale } from './scale.ts'
import { smtp } from './smtp.ts'
import { stampede } from './stampede.ts'
import { workers } from './workers.ts'

/** In the order of the report. */
export const workloads: readonly Workload[] = [
  check,
  http,
  smtp,
  attachment,
  revocation,
  fleet,
  stampede,
  flood,
  workers,
  scale,
  instructions,
]
