// Original file: enbi.proto

import type { Long } from '@grpc/proto-loader';

export interface PullProgress {
  'phase'?: (string);
  'done'?: (number | string | Long);
  'expected'?: (number | string | Long);
  'text'?: (string);
}

export interface PullProgress__Output {
  'phase': (string);
  'done': (number);
  'expected': (number);
  'text': (string);
}
