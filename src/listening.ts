/** A port that is taken is the most common fault of a start: the error says which setting moves it. */
export async function naming<T>(variable: string, listening: Promise<T>): Promise<T> {
  try {
    return await listening
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`${variable} cannot be used: ${reason}`, { cause: error })
  }
}

export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
