// Original file: enbi.proto

import type { PullProgress as _enbi_v1alpha1_PullProgress, PullProgress__Output as _enbi_v1alpha1_PullProgress__Output } from '../../enbi/v1alpha1/PullProgress.ts';
import type { Waiter as _enbi_v1alpha1_Waiter, Waiter__Output as _enbi_v1alpha1_Waiter__Output } from '../../enbi/v1alpha1/Waiter.ts';
import type { Long } from '@grpc/proto-loader';

export interface Run {
  'image'?: (string);
  'recipe'?: (string);
  'runId'?: (string);
  'startedAt'?: (number | string | Long);
  'progress'?: (_enbi_v1alpha1_PullProgress | null);
  'waiting'?: (number);
  'waiters'?: (_enbi_v1alpha1_Waiter)[];
}

export interface Run__Output {
  'image': (string);
  'recipe': (string);
  'runId': (string);
  'startedAt': (number);
  'progress': (_enbi_v1alpha1_PullProgress__Output | null);
  'waiting': (number);
  'waiters': (_enbi_v1alpha1_Waiter__Output)[];
}
