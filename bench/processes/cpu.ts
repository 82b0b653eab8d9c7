import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** What the operating system has charged a process for, of `/proc/PID/stat` (proc_pid_stat(5)). */
export interface ProcessTimes {
  readonly parent: number
  /** User and system time of all its threads, those that have ended too, in clock ticks. */
  readonly ticks: number
  /** The same of children that have ended and were waited for, and of theirs. */
  readonly endedChildrenTicks: number
}

/** Reads the text of one `/proc/PID/stat`. */
export function parseStat(text: string): ProcessTimes {
  // The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  // Numbered as in the manual, where the state, which comes first here, is field 3.
  const field = (number: number) => Number(fields[number - 3])
  return {
    parent: field(4),
    ticks: field(14) + field(15),
    endedChildrenTicks: field(16) + field(17),
  }
}

type Processes = ReadonlyMap<number, ProcessTimes>

/** The roots that live, and everything that lives below them, each once. */
export function listTree(processes: Processes, roots: readonly number[]): number[] {
  const children = Map.groupBy(processes.keys(), (pid) => processes.get(pid)?.parent)
  const found = new Set<number>()
  function visit(pid: number) {
    if (!processes.has(pid) || found.has(pid)) return
    found.add(pid)
    children.get(pid)?.forEach(visit)
  }
  roots.forEach(visit)
  return [...found]
}

/** The CPU time that a tree of processes has used, in ticks, with that of what has ended there. */
export function addUpTree(processes: Processes, roots: readonly number[]): number {
  return listTree(processes, roots).reduce((sum, pid) => {
    const times = processes.get(pid)
    return sum + (times?.ticks ?? 0) + (times?.endedChildrenTicks ?? 0)
  }, 0)
}

const microsPerTick =
  1_000_000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).trim())

/** CPU time in microseconds that these processes and everything below them have used so far. */
export function cpuMicrosOf(roots: readonly number[]): number {
  return addUpTree(readProcesses(), roots) * microsPerTick
}

/** CPU time in microseconds that the whole machine has spent since it was started: `/proc/stat` (proc_stat(5)). */
export function machineBusyMicros(): number {
  return parseMachineBusy(readFileSync('/proc/stat', 'utf8')) * microsPerTick
}

/** The ticks that no core was idle in. Steal is another machine's, and a guest's are in user already. */
export function parseMachineBusy(text: string): number {
  const [user = 0, nice = 0, system = 0, _idle, _wait, interrupts = 0, soft = 0] = text
    .slice(0, text.indexOf('\n'))
    .split(/ +/)
    .slice(1)
    .map(Number)
  return user + nice + system + interrupts + soft
}

/** From now on the peak of their memory is counted anew (proc_pid_clear_refs(5)). */
export function forgetPeakMemory(roots: readonly number[]) {
  for (const pid of listTree(readProcesses(), roots)) {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  }
}

/** The most memory in bytes that each of them and all below have held, added up. */
export function peakMemoryOf(roots: readonly number[]): number {
  return listTree(readProcesses(), roots)
    .map((pid) => /^VmHWM:\s+(\d+) kB/m.exec(readProcFile(pid, 'status') ?? '')?.[1])
    .reduce((sum, kilobytes) => sum + Number(kilobytes ?? 0) * 1_024, 0)
}

function readProcesses(): Processes {
  const processes = new Map<number, ProcessTimes>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const text = Number.isInteger(pid) ? readProcFile(pid, 'stat') : undefined
    if (text !== undefined) processes.set(pid, parseStat(text))
  }
  return processes
}

/** Undefined when the process has ended meanwhile. */
function readProcFile(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
