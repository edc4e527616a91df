// Original file: enbi.proto

import type { StoreUse as _enbi_v1alpha1_StoreUse, StoreUse__Output as _enbi_v1alpha1_StoreUse__Output } from '../../enbi/v1alpha1/StoreUse.ts';
import type { FolderUse as _enbi_v1alpha1_FolderUse, FolderUse__Output as _enbi_v1alpha1_FolderUse__Output } from '../../enbi/v1alpha1/FolderUse.ts';

export interface Disk {
  'store'?: (_enbi_v1alpha1_StoreUse | null);
  'digests'?: (_enbi_v1alpha1_FolderUse | null);
  'plans'?: (_enbi_v1alpha1_FolderUse | null);
  'logs'?: (_enbi_v1alpha1_FolderUse | null);
}

export interface Disk__Output {
  'store': (_enbi_v1alpha1_StoreUse__Output | null);
  'digests': (_enbi_v1alpha1_FolderUse__Output | null);
  'plans': (_enbi_v1alpha1_FolderUse__Output | null);
  'logs': (_enbi_v1alpha1_FolderUse__Output | null);
}
