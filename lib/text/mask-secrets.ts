/**
 * Hides what is a secret by its form: user info of URLs, credentials in headers and queries, and access tokens of Nix.
 * Takes linear time.
 */
export function maskSecrets(line: string): string {
  return HINT.test(line) ? FORMS.reduce((text, [form, shown]) => text.replace(form, shown), line) : line
}

/** Most lines have none of these. */
const HINT = /:\/\/|authorization|private-token|[?&]|access-tokens/i

const FORMS: readonly (readonly [form: RegExp, shown: string])[] = [
  // The user `git` of ssh is no secret.
  [/:\/\/(?!git@)[^\s/@]{1,1024}@/g, '://…@'],
  [/\b((?:proxy-)?authorization"?:? *"?(?:basic|bearer|token)) +[^\s"']{1,4096}/gi, '$1 …'],
  [
    /([?&](?:access_?token|token|sig|signature|x-amz-(?:signature|security-token|credential))=)[^&\s"']{1,4096}/gi,
    '$1…',
  ],
  [/\b(private-token"?:) *"?[^\s"']{1,4096}/gi, '$1 …'],
  [/\b((?:extra-)?access-tokens *=) *\S.{0,4096}/g, '$1 …'],
]
