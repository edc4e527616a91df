// Original file: enbi.proto

import type { Long } from '@grpc/proto-loader';

export interface Shim {
  'version'?: (string);
  'startedAt'?: (number | string | Long);
  'containerd'?: (string);
  'containerdProblem'?: (string);
  'rules'?: (number);
  'maxBuilds'?: (number);
  'logs'?: (string);
}

export interface Shim__Output {
  'version': (string);
  'startedAt': (number);
  'containerd': (string);
  'containerdProblem': (string);
  'rules': (number);
  'maxBuilds': (number);
  'logs': (string);
}
