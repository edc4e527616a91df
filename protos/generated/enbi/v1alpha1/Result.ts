// Original file: enbi.proto

import type { Long } from '@grpc/proto-loader';

export interface Result {
  'image'?: (string);
  'recipe'?: (string);
  'endedAt'?: (number | string | Long);
  'tookMs'?: (number | string | Long);
  'runId'?: (string);
  'imageId'?: (string);
  'storePath'?: (string);
  'errorCode'?: (string);
  'error'?: (string);
  'times'?: (number);
}

export interface Result__Output {
  'image': (string);
  'recipe': (string);
  'endedAt': (number);
  'tookMs': (number);
  'runId': (string);
  'imageId': (string);
  'storePath': (string);
  'errorCode': (string);
  'error': (string);
  'times': (number);
}
