// Original file: enbi.proto

import type { Long } from '@grpc/proto-loader';

export interface StoreUse {
  'paths'?: (number | string | Long);
  'narBytes'?: (number | string | Long);
  'problem'?: (string);
}

export interface StoreUse__Output {
  'paths': (number);
  'narBytes': (number);
  'problem': (string);
}
