import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isOnPath } from '../../test/helpers/require-program.ts'
import type { Crew } from './crew.ts'

/** Node under QEMU's user mode, which counts the instructions of the program and of all its threads; the kernel's are not in it. */
export interface CountedNode {
  /** Starts its agents and programs with this Node: only one, as all would be counted together. */
  readonly crew: Crew
  /** Executed so far. */
  instructions(): number
}

const emulators: Readonly<Record<string, string>> = { x64: 'qemu-x86_64', arm64: 'qemu-aarch64' }
const emulator = emulators[process.arch] ?? `an emulator of ${process.arch}`

/** Why nothing can be counted here; undefined when it can. */
export function missingForCounting(crew: Crew): string | undefined {
  const missing = [emulator, 'cc'].filter((program) => !isOnPath(program))
  if (missing.length > 0) {
    return `no ${missing.join(' and no ')}; Debian has them in qemu-user, gcc and libc6-dev`
  }
  try {
    execFileSync(createCommand(crew, 'counted-try').node, ['--version'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return String(error)
  }
}

/** Throws when the plugin cannot be compiled. `name` is that of a folder of its own; QEMU takes no comma in it. */
export function createCountedNode(crew: Crew, name: string): CountedNode {
  const { node, counter } = createCommand(crew, name)
  return {
    crew: {
      ...crew,
      folder: (inside) => crew.folder(join(name, inside)),
      agent: (module, options) => crew.agent(module, { ...options, node }),
      program: (start) =>
        crew.program(start.command === process.execPath ? { ...start, command: node } : start),
    },
    instructions: () => Number(readFileSync(counter).readBigUInt64LE()),
  }
}

function createCommand(crew: Crew, name: string) {
  const folder = crew.folder(name)
  const plugin = join(folder, 'instructions.so')
  const source = resolve('bench/processes/instructions.c')
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', plugin, source], { stdio: 'pipe' })
  const counter = join(folder, 'instructions')
  writeFileSync(counter, Buffer.alloc(8))
  const node = join(folder, 'node')
  const options = `-cpu max -plugin '${plugin},count=${counter}'`
  writeFileSync(node, `#!/bin/sh\nexec ${emulator} ${options} '${process.execPath}' "$@"\n`, {
    mode: 0o755,
  })
  return { node, counter }
}
