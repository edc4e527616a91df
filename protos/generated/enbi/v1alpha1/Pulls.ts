// Original file: enbi.proto

import type { MethodDefinition } from '@grpc/proto-loader'
import type { PullProgress as _enbi_v1alpha1_PullProgress, PullProgress__Output as _enbi_v1alpha1_PullProgress__Output } from '../../enbi/v1alpha1/PullProgress.ts';
import type { WatchRequest as _enbi_v1alpha1_WatchRequest, WatchRequest__Output as _enbi_v1alpha1_WatchRequest__Output } from '../../enbi/v1alpha1/WatchRequest.ts';

export interface PullsDefinition {
  Watch: MethodDefinition<_enbi_v1alpha1_WatchRequest, _enbi_v1alpha1_PullProgress, _enbi_v1alpha1_WatchRequest__Output, _enbi_v1alpha1_PullProgress__Output>
}
