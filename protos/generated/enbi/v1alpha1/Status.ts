// Original file: enbi.proto

import type { MethodDefinition } from '@grpc/proto-loader'
import type { StatusReport as _enbi_v1alpha1_StatusReport, StatusReport__Output as _enbi_v1alpha1_StatusReport__Output } from '../../enbi/v1alpha1/StatusReport.ts';
import type { StatusRequest as _enbi_v1alpha1_StatusRequest, StatusRequest__Output as _enbi_v1alpha1_StatusRequest__Output } from '../../enbi/v1alpha1/StatusRequest.ts';

export interface StatusDefinition {
  Watch: MethodDefinition<_enbi_v1alpha1_StatusRequest, _enbi_v1alpha1_StatusReport, _enbi_v1alpha1_StatusRequest__Output, _enbi_v1alpha1_StatusReport__Output>
}
