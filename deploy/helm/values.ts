import type { Place } from './template.ts'

/** One value of the chart. Its default is what the manifests have at its place, unless they have nothing. */
export interface ChartValue {
  /** Dots separate the levels. */
  readonly key: string
  readonly about?: string
  /** JSON schema of the value. */
  readonly schema: object
  readonly places?: readonly Place[]
  /** Where its default is, if not at its place. */
  readonly defaultAt?: Place
  readonly default?: unknown
}

const POD = ['spec', 'template', 'spec']
const CONTAINER = [...POD, 'containers', 0]
const STRING = { type: 'string', minLength: 1 }
const STRINGS = { type: 'object', additionalProperties: { type: 'string' } }
const OBJECTS = { type: 'array', items: { type: 'object' } }
/** Names are unique in this list, and the chart itself sets NODE_OPTIONS. */
const VARIABLES = {
  type: 'array',
  items: {
    type: 'object',
    required: ['name'],
    properties: { name: { ...STRING, not: { const: 'NODE_OPTIONS' } } },
  },
}
const SWITCH = { type: 'boolean' }
/** The only variable of the manifests. A list that names it twice would be refused. */
const NODE_OPTIONS = '(dict "name" "NODE_OPTIONS" "value" .Values.nodeOptions)'
/** Objects that are part of a release only with a value, by their kind and name. */
const OPERATOR_OBJECTS = ['PodMonitor/enbi-controller', 'ScrapeConfig/enbi-shim', 'PrometheusRule/enbi-shim']
const TOKEN_OBJECTS = [
  'DaemonSet/enbi-token',
  'ResourceQuota/node-critical-pods',
  'NetworkPolicy/no-connections',
  'ClusterRoleBinding/enbi-token',
  'RoleBinding/enbi-token',
]

export const VALUES: readonly ChartValue[] = [
  {
    key: 'image',
    about: 'Image of the controller. Nobody publishes one: docs/how-to/join-a-cluster.md has two ways to get it.',
    schema: STRING,
    places: [inDeployment([...CONTAINER, 'image'])],
  },
  {
    key: 'imagePullSecrets',
    about: 'Secrets in the namespace enbi-system, for instance [{ name: registry }].',
    schema: OBJECTS,
    default: [],
    places: [inDeployment([...POD, 'imagePullSecrets'], { isOptional: true })],
  },
  {
    key: 'podAnnotations',
    about: 'For instance the recipe of the image, if nodes build it.',
    schema: STRINGS,
    default: {},
    places: [inDeployment(['spec', 'template', 'metadata', 'annotations'], { isOptional: true })],
  },
  {
    key: 'replicas',
    about: 'One is active, the other takes over if it ends.',
    schema: { type: 'integer', minimum: 0 },
    places: [inDeployment(['spec', 'replicas'])],
  },
  {
    key: 'extraArgs',
    about: 'More flags of the controller, for instance [--node-repel=node-role.kubernetes.io/control-plane].',
    schema: { type: 'array', items: STRING },
    default: [],
    places: [inDeployment([...CONTAINER, 'args'], { write: appendTo })],
  },
  {
    key: 'extraEnv',
    about: 'More variables of its environment, for instance [{ name: HTTPS_PROXY, value: "http://proxy.example" }].',
    schema: VARIABLES,
    default: [],
    places: [inDeployment([...CONTAINER, 'env'], { write: (_, value) => `(prepend ${value} ${NODE_OPTIONS})` })],
  },
  {
    key: 'nodeOptions',
    about: 'Limits the heap. Raise it together with the limit of the memory.',
    schema: STRING,
    defaultAt: inDeployment([...CONTAINER, 'env', 0, 'value']),
  },
  {
    key: 'resources',
    about: 'docs/explanation/scale.md says what a large cluster needs.',
    schema: { type: 'object' },
    places: [inDeployment([...CONTAINER, 'resources'])],
  },
  {
    key: 'nodeSelector',
    schema: STRINGS,
    default: {},
    places: [inDeployment([...POD, 'nodeSelector'], { isOptional: true })],
  },
  {
    key: 'tolerations',
    schema: OBJECTS,
    default: [],
    places: [inDeployment([...POD, 'tolerations'], { isOptional: true })],
  },
  {
    key: 'topologySpreadConstraints',
    schema: OBJECTS,
    places: [inDeployment([...POD, 'topologySpreadConstraints'])],
  },
  {
    key: 'priorityClassName',
    about: 'The chart creates enbi-controller, and no other class.',
    schema: STRING,
    places: [inDeployment([...POD, 'priorityClassName'])],
  },
  {
    key: 'networkPolicy.enabled',
    about: 'Limits who can reach the controller, and what it can reach.',
    schema: SWITCH,
    default: true,
  },
  {
    key: 'networkPolicy.apiServer',
    about: 'Ports of the API server, at least one: none would allow all.',
    schema: { ...OBJECTS, minItems: 1 },
    places: [{ object: 'NetworkPolicy/enbi-controller', path: ['spec', 'egress', 0, 'ports'] }],
  },
  {
    key: 'crds.enabled',
    about: 'false: something else applies deploy/crd before each upgrade. To uninstall the chart never deletes them.',
    schema: SWITCH,
    default: true,
  },
  {
    key: 'fixedImages.enabled',
    about: 'Denies image updates of annotated Pods, see docs/how-to/join-a-cluster.md.',
    schema: SWITCH,
    default: false,
  },
  {
    key: 'token.enabled',
    about: 'Keeps the tokens of the shims fresh, see docs/how-to/join-a-cluster.md.',
    schema: SWITCH,
    default: false,
    places: [
      {
        object: 'Namespace/enbi-token',
        path: ['metadata', 'labels', 'pod-security.kubernetes.io/enforce'],
        write: (level, value) => `(ternary "privileged" "${level}" ${value})`,
      },
    ],
  },
  {
    key: 'token.image',
    about: 'Any image with sh, cat, cmp, mktemp, mv, rm, sleep and test.',
    schema: STRING,
    places: [inDaemonSet([...CONTAINER, 'image'])],
  },
  {
    key: 'token.imagePullSecrets',
    about: 'Secrets in the namespace enbi-token.',
    schema: OBJECTS,
    default: [],
    places: [inDaemonSet([...POD, 'imagePullSecrets'], { isOptional: true })],
  },
  {
    key: 'token.podAnnotations',
    about: 'For instance the recipe of the image, if nodes build it.',
    schema: STRINGS,
    default: {},
    places: [inDaemonSet(['spec', 'template', 'metadata', 'annotations'], { isOptional: true })],
  },
  {
    key: 'prometheusOperator.enabled',
    about: 'PodMonitor, ScrapeConfig and PrometheusRule, see docs/how-to/monitoring.md. Their CRDs must be there.',
    schema: SWITCH,
    default: false,
  },
  {
    key: 'prometheusOperator.labels',
    about: 'Labels by which your Prometheus selects these objects.',
    schema: STRINGS,
    default: {},
    places: OPERATOR_OBJECTS.map(object => ({ object, path: ['metadata', 'labels'], isOptional: true })),
  },
]

/** The condition under which the chart has an object (`KIND/NAME`). */
export function conditionOf(object: string): string | undefined {
  if (TOKEN_OBJECTS.includes(object)) return '.Values.token.enabled'
  if (OPERATOR_OBJECTS.includes(object)) return '.Values.prometheusOperator.enabled'
  if (object.startsWith('CustomResourceDefinition/')) return '.Values.crds.enabled'
  return CONDITIONS.get(object)
}

const CONDITIONS = new Map([
  // A release that is kept in that namespace needs it before the chart can create it.
  ['Namespace/enbi-system', 'ne .Release.Namespace "enbi-system"'],
  ['PriorityClass/enbi-controller', 'eq .Values.priorityClassName "enbi-controller"'],
  ['ValidatingAdmissionPolicy/enbi-controller-priority', 'eq .Values.priorityClassName "enbi-controller"'],
  ['ValidatingAdmissionPolicyBinding/enbi-controller-priority', 'eq .Values.priorityClassName "enbi-controller"'],
  ['NetworkPolicy/enbi-controller', '.Values.networkPolicy.enabled'],
  ['ValidatingAdmissionPolicy/enbi-fixed-images', '.Values.fixedImages.enabled'],
  ['ValidatingAdmissionPolicyBinding/enbi-fixed-images', '.Values.fixedImages.enabled'],
])

function inDeployment(path: Place['path'], more: Partial<Place> = {}): Place {
  return { object: 'Deployment/enbi-controller', path, ...more }
}

function inDaemonSet(path: Place['path'], more: Partial<Place> = {}): Place {
  return { object: 'DaemonSet/enbi-token', path, ...more }
}

/** The list of the manifests, and after it that of the value. */
function appendTo(list: unknown, value: string): string {
  return `(concat (fromJsonArray ${JSON.stringify(JSON.stringify(list))}) ${value})`
}
