/** For tests that are about what a gate answers, and not about how often it is asked. */
export const noLimits = {
  POSTERN_TOKEN_RATE: 'off',
  POSTERN_AUTH_FAILURE_LIMIT: 'off',
  POSTERN_CONNECTION_LIMIT: 'off',
}
