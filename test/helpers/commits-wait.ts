import pg from 'pg'

/** Commits of this database that wait for a standby. */
export const waitingCommits = `from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()`

/**
 * Resolves when commits wait for the standby that was set. The checkpointer tells the other processes of it in its own time:
 * until then a commit waits for nobody.
 */
export async function untilCommitsWait(url: string, operator: pg.Client) {
  const prober = new pg.Client({ connectionString: url })
  await prober.connect()
  for (let isWaiting = false; !isWaiting; ) {
    let isOver = false
    const probe = prober.query(`comment on schema public is 'probed'`)
    const over = probe.then(() => {
      isOver = true
    })
    while (!isOver && !isWaiting) {
      isWaiting = ((await operator.query(`select ${waitingCommits}`)).rowCount ?? 0) > 0
    }
    if (isWaiting) await operator.query(`select pg_cancel_backend(pid) ${waitingCommits}`)
    await over
  }
  await prober.end()
}
